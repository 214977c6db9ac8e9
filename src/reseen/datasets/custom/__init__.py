"""User-defined data sets: pictures listed in a table, or in folders."""
