"""Recipes: YAML files and overrides become a typed config that knows where each value comes from."""
