"""What other trainers have precomputed, as a store."""
