"""Where a gallery is kept: SQLite with FAISS on one machine, or a Milvus server."""
