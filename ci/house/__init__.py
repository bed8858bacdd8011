"""The rules of the house, one file a subject; `ci/structure` runs them, `proof` shows that each can fail."""
