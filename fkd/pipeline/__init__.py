"""From a photo to keypoints: detect, crop, predict, draw, write; one module for each step."""
