"""The cost of a refinement: tokens, floating-point operations, engine hours, money."""
