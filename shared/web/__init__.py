"""HTTP as values: requests in, responses out; imports `use_cases` and `domain`, no HTTP library."""
