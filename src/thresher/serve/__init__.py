"""The decision service: one live retriever behind HTTP, and pages for reviewers."""
