"""How good weights are, on held-out faces, over folds and under hard conditions; tables, cards and pictures of it."""
