"""What tests share: files that are made, processes, servers, pages, tiny models."""
