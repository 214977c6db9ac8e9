"""Published data sets, one file each, with the helpers that read their layouts."""
