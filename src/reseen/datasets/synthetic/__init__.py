"""The built-in synthetic data set and its renderer: walking people and vehicles, as several cameras see them."""
