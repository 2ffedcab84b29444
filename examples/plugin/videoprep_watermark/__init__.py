"""Rules for videoprep: captions that give stock footage away."""
