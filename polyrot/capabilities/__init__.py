"""What a claim may ask of any suite: activations, pairs of seeds, autoencoders, steering, cores."""
