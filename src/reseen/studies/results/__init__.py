"""What becomes of a study's results: tables, a page, tests of significance, the papers' figures beside them."""
