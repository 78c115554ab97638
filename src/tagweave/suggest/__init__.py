"""Which images to label next: from what propagation is unsure of, and what the similarity graph reaches."""
