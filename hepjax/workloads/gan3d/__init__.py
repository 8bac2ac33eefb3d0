"""3DGAN: a conditional GAN of three-dimensional convolutions that simulates calorimeter showers."""
