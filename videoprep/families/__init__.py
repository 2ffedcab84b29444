"""What each model family needs. One file a family; nothing elsewhere knows a family's name."""
