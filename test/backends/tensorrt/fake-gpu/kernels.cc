// A libnvinfer_builder_resource.so.10.6.0 without kernels.
