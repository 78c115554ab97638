"""The trained classifier for use elsewhere: one ONNX file, one torch program, or a folder to publish."""
