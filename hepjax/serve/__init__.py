"""Trained models as a service: the Open Inference Protocol v2 over HTTP and gRPC.

``http_body`` and ``grpc_calls`` read a request, ``request`` checks it, ``queue`` and ``plan`` put
several into a batch, ``program`` applies the compiled model, ``watch`` replaces its checkpoint.
"""
