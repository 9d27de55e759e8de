"""One technology a module, behind `domain`'s ports; only these and `bootstrap` use a vendor."""
