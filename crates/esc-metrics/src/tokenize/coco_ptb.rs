//! What the COCO caption tools make of a text.
