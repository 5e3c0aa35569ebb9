"""Reading, merging and checking of settings from YAML files and the command line."""
