"""One file per family of methods: what is known of a pool in, scores of the images asked for out."""
