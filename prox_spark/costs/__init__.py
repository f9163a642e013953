"""What a refinement costs: tokens, floating-point operations, engine hours, money."""
