"""The gRPC service `kinema.v1.Colorizer`: it lends one engine to many streams."""
