"""The messages of the gRPC service, from their names, numbers and types.

They live in a pool of descriptors of their own: a client library in the same process registers
messages of the same names in the default one.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"
_TYPES = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    "double": _TYPES.TYPE_DOUBLE, "float": _TYPES.TYPE_FLOAT, "int64": _TYPES.TYPE_INT64,
    "uint64": _TYPES.TYPE_UINT64, "int32": _TYPES.TYPE_INT32, "uint32": _TYPES.TYPE_UINT32,
    "bool": _TYPES.TYPE_BOOL, "string": _TYPES.TYPE_STRING, "bytes": _TYPES.TYPE_BYTES,
}  # fmt: skip
PARAMETERS = "map InferParameter"
NAME_AND_VERSION = "name:1 string, version:2 string"
COMPUTED = "compute_input:{} StatisticDuration, compute_infer:{} StatisticDuration, "\
    "compute_output:{} StatisticDuration"  # fmt: skip
MESSAGES = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "live:1 bool",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "ready:1 bool",
    "ModelReadyRequest": NAME_AND_VERSION,
    "ModelReadyResponse": "ready:1 bool",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "name:1 string, version:2 string, extensions:3 repeated string",
    "ModelMetadataRequest": NAME_AND_VERSION,
    "ModelMetadataResponse": (
        "name:1 string, versions:2 repeated string, platform:3 string, "
        "inputs:4 repeated ModelMetadataResponse.TensorMetadata, "
        "outputs:5 repeated ModelMetadataResponse.TensorMetadata"
    ),
    "ModelMetadataResponse.TensorMetadata": "name:1 string, datatype:2 string, "
    "shape:3 repeated int64",
    "InferParameter": (
        "bool_param:1 one bool, int64_param:2 one int64, string_param:3 one string, "
        "double_param:4 one double, uint64_param:5 one uint64"
    ),
    "InferTensorContents": (
        "bool_contents:1 repeated bool, int_contents:2 repeated int32, "
        "int64_contents:3 repeated int64, uint_contents:4 repeated uint32, "
        "uint64_contents:5 repeated uint64, fp32_contents:6 repeated float, "
        "fp64_contents:7 repeated double, bytes_contents:8 repeated bytes"
    ),
    "ModelInferRequest": (
        f"model_name:1 string, model_version:2 string, id:3 string, parameters:4 {PARAMETERS}, "
        "inputs:5 repeated ModelInferRequest.InferInputTensor, "
        "outputs:6 repeated ModelInferRequest.InferRequestedOutputTensor, "
        "raw_input_contents:7 repeated bytes"
    ),
    "ModelInferRequest.InferInputTensor": (
        f"name:1 string, datatype:2 string, shape:3 repeated int64, parameters:4 {PARAMETERS}, "
        "contents:5 InferTensorContents"
    ),
    "ModelInferRequest.InferRequestedOutputTensor": f"name:1 string, parameters:2 {PARAMETERS}",
    "ModelInferResponse": (
        f"model_name:1 string, model_version:2 string, id:3 string, parameters:4 {PARAMETERS}, "
        "outputs:5 repeated ModelInferResponse.InferOutputTensor, "
        "raw_output_contents:6 repeated bytes"
    ),
    "ModelInferResponse.InferOutputTensor": (
        f"name:1 string, datatype:2 string, shape:3 repeated int64, parameters:4 {PARAMETERS}, "
        "contents:5 InferTensorContents"
    ),
    "ModelStreamInferResponse": "error_message:1 string, infer_response:2 ModelInferResponse",
    "ModelConfigRequest": NAME_AND_VERSION,
    "ModelConfigResponse": "config:1 ModelConfig",
    "ModelConfig": (
        "name:1 string, platform:2 string, backend:17 string, max_batch_size:4 int32, "
        "input:5 repeated ModelInput, output:6 repeated ModelOutput, "
        "dynamic_batching:11 ModelDynamicBatching"
    ),
    "ModelInput": "name:1 string, data_type:2 enum DataType, dims:4 repeated int64",
    "ModelOutput": "name:1 string, data_type:2 enum DataType, dims:3 repeated int64",
    "ModelDynamicBatching": (
        "preferred_batch_size:1 repeated int32, max_queue_delay_microseconds:2 uint64"
    ),
    "ModelStatisticsRequest": NAME_AND_VERSION,
    "ModelStatisticsResponse": "model_stats:1 repeated ModelStatistics",
    "ModelStatistics": (
        "name:1 string, version:2 string, last_inference:3 uint64, inference_count:4 uint64, "
        "execution_count:5 uint64, inference_stats:6 InferStatistics, "
        "batch_stats:7 repeated InferBatchStatistics"
    ),
    "StatisticDuration": "count:1 uint64, ns:2 uint64",
    "InferStatistics": (
        "success:1 StatisticDuration, fail:2 StatisticDuration, queue:3 StatisticDuration, "
        + COMPUTED.format(4, 5, 6)
    ),
    "InferBatchStatistics": "batch_size:1 uint64, " + COMPUTED.format(2, 3, 4),
    "RepositoryIndexRequest": "repository_name:1 string, ready:2 bool",
    "RepositoryIndexResponse": "models:1 repeated RepositoryIndexResponse.ModelIndex",
    "RepositoryIndexResponse.ModelIndex": (
        "name:1 string, version:2 string, state:3 string, reason:4 string"
    ),
}
"""Fields as ``name:number kind``; kind is a scalar or a message, after ``repeated``, ``map`` (from
texts), ``one`` (of a choice) or ``enum``. A message in another one has its name in front."""
DATA_TYPES = (
    "INVALID", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
    "FP16", "FP32", "FP64", "STRING", "BF16",
)  # fmt: skip
"""Values of the enumeration ``DataType``, from 0 on."""


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="hepjax/serve/inference", package=PACKAGE, syntax="proto3"
    )
    kinds = file.enum_type.add(name="DataType")
    for number, name in enumerate(DATA_TYPES):
        kinds.value.add(name=f"TYPE_{name}", number=number)
    made: dict[str, descriptor_pb2.DescriptorProto] = {}
    for name, fields in MESSAGES.items():
        outer, _, inner = name.rpartition(".")
        made[name] = (
            made[outer].nested_type.add(name=inner) if outer else file.message_type.add(name=name)
        )
        for text in filter(None, fields.split(", ")):
            _add_field(made[name], name, text)
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, whole_name: str, text: str) -> None:
    head, *words = text.split(" ")
    name, number = head.split(":")
    field = message.field.add(name=name, number=int(number), label=_TYPES.LABEL_OPTIONAL)
    kind = words[-1]
    if words[0] in ("repeated", "map"):
        field.label = _TYPES.LABEL_REPEATED
    if words[0] == "one":
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0
    if words[0] == "map":
        entry = message.nested_type.add(name="ParametersEntry")
        entry.options.map_entry = True
        _add_field(entry, whole_name, "key:1 string")
        _add_field(entry, whole_name, f"value:2 {kind}")
        kind = f"{whole_name}.ParametersEntry"
    if words[0] == "enum":
        field.type, field.type_name = _TYPES.TYPE_ENUM, f".{PACKAGE}.{kind}"
    elif kind in SCALARS:
        field.type = SCALARS[kind]
    else:
        field.type, field.type_name = _TYPES.TYPE_MESSAGE, f".{PACKAGE}.{kind}"


def classes() -> dict[str, Any]:
    """The class of each message by its name."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in MESSAGES
    }
