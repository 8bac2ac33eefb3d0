"""The messages of gRPC live beside those of another library; numbers are those of the protocol."""

from google.protobuf import descriptor_pool

from hepjax.serve.messages import MESSAGES, classes


def test_the_default_pool_stays_empty_for_client_libraries():
    classes()
    pool = descriptor_pool.Default()
    for name in MESSAGES:
        try:
            pool.FindMessageTypeByName(f"inference.{name}")
        except KeyError:
            continue
        raise AssertionError(f"{name} is in the default pool")


def test_bytes_on_the_wire():
    """Written by hand: field 1 text "m", field 5 a tensor named "x", field 7 two bytes."""
    kinds = classes()
    made = kinds["ModelInferRequest"](model_name="m", raw_input_contents=[b"\1\2"])
    made.inputs.add(name="x", datatype="FP32", shape=[3])
    made.parameters["seed"].int64_param = 5
    text = made.SerializeToString(deterministic=True)
    assert text == (
        b"\x0a\x01m" b"\x22\x0a\x0a\x04seed\x12\x02\x10\x05"
        b"\x2a\x0c\x0a\x01x\x12\x04FP32\x1a\x01\x03" b"\x3a\x02\x01\x02"
    )  # fmt: skip
    again = kinds["ModelInferRequest"].FromString(text)
    assert again.parameters["seed"].WhichOneof("parameter_choice") == "int64_param"
