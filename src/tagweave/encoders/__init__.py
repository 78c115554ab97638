"""Images to stage maps and features, computed once and kept on disk."""
