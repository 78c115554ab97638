"""Semi-supervised multi-label image classification: few labels in, propagated labels and a classifier out."""

__version__ = "0.1.0"
