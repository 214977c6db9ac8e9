"""A gallery in a folder of one machine: items in SQLite, searched by FAISS."""
