"""Results of a study: tables, page, tests of significance, published figures."""
