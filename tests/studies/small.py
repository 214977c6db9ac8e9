"""Flags that make a study so small that it takes a moment."""

SYNTHETIC = [
    "--data",
    "Synthetic",
    "--data.num_train_identities",
    "4",
    "--data.num_test_identities",
    "4",
    "--data.num_cameras",
    "2",
    "--data.images_per_camera",
    "3",
    "--data.height",
    "16",
]
TRAINING = [
    "--settings",
    '{"model": {"backbone": "tests.training.tiny.Tiny", "height": 16, "width": 8}, '
    '"batches": {"identities": 2, "images": 2}, "schedule": {"epochs": 1}, "evaluate_every": null}',
]
