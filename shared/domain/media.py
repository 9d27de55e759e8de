"""Judge a content type."""


def is_utf8(content_type: str) -> bool:
    """JSON has no other encoding (RFC 8259); a charset that says so does no harm."""
    for parameter in content_type.lower().split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip(' "') not in {"utf-8", "utf8", "us-ascii"}:
            return False
    return True
