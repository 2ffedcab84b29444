"""A dataset and a model made on the spot, so that the main job runs offline."""
