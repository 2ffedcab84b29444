"""How the model that `videoprep demo` encodes with is made and measured."""
