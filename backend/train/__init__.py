"""Training of the starter prior: pictures from the zoo, an autoencoder, a denoiser with its text encoder, the exported folder."""
