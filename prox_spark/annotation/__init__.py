"""A large model's labels for a few documents: what ``adapt`` trains small refiners on."""
