"""Heads, ours and those of the systems that the method is compared with: stage maps in, logits out."""
