"""FastCaloGAN: one Wasserstein GAN with gradient penalty for each slice of pseudorapidity."""
