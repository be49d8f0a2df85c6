"""The composition root: builds each process out of the packages, starts and supervises all of them."""
