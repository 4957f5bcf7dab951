"""Six hundred networks of eight libraries, with random weights, for `benchmarks.fields` to try.

`LIBRARIES` has a function for each library, which gives names, and what makes a network of that
name: the network and the shape (channels, height, width) of its image. The libraries are no part
of our environment; benchmarks/networks.txt lists them.

From timm come, of all architectures that share a name's stem and a module, the smallest, and of
these all below 75 million parameters; from the others, what they are known for and what is unusual.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

Shape = tuple[int, int, int]  # channels, height, width
Maker = Callable[[], tuple[nn.Module, Shape]]

TIMM = """
    bat_resnext26ts botnet26t_256 botnet50ts_256 caformer_m36 caformer_s18 cait_s24_224
    cait_xs24_384 cait_xxs24_224 coat_lite_medium coat_lite_mini coat_lite_small coat_lite_tiny
    coat_mini coat_small coat_tiny coatnet_0_224 coatnext_nano_rw_224 convit_small convit_tiny
    convmixer_768_32 convnext_atto convnextv2_atto cpubone_b0_bfrobust crossvit_9_240
    crossvit_small_240 crossvit_tiny_240 cs3darknet_focus_l cs3edgenet_x cs3se_edgenet_x
    cs3sedarknet_l csatv2 cspdarknet53 cspnext_l cspresnet50 cspresnet50d cspresnet50w cspresnext50
    darknet17 darknet21 darknet53 darknetaa53 davit_small davit_tiny deit3_small_patch16_224
    deit_small_distilled_patch16_224 deit_small_patch16_224 deit_tiny_distilled_patch16_224
    deit_tiny_patch16_224 densenet121 densenet161 densenet169 densenet201 densenet264d
    densenetblur121d dla102 dla102x dla169 dla34 dla46_c dla46x_c dla60 dla60x dm_nfnet_f0 dpn48b
    dpn68 dpn68b dpn92 dpn98 eca_botnext26ts_256 eca_halonext26ts eca_nfnet_l0 eca_resnet33ts
    eca_vovnet39b ecaresnet101d ecaresnet200d ecaresnet26t ecaresnet50d ecaresnet50t ecaresnetlight
    ecaresnext26t_32x4d ecaresnext50t_32x4d edgenext_base edgenext_small edgenext_small_rw
    edgenext_x_small edgenext_xx_small efficientformer_l1 efficientformerv2_l efficientnet_b0
    efficientnet_cc_b0_4e efficientvim_m1 efficientvit_b0 efficientvit_m0 ese_vovnet19b_dw
    eva02_tiny_patch14_224 fastvit_ma36 fastvit_mci0 fastvit_sa12 fbnetc_100 fbnetv3_b
    flexivit_small gc_efficientnetv2_rw_t gcresnet33ts gcresnet50t gcresnext26ts gcresnext50ts
    gcvit_small gcvit_tiny gcvit_xtiny gcvit_xxtiny gernet_l ghostnet_050 ghostnetv2_100
    ghostnetv3_050 gmixer_12_224 gmlp_b16_224 halo2botnet50ts_256 halonet26t halonet50ts halonet_h1
    haloregnetz_b hardcorenas_a hgnet_base hgnetv2_b0 hiera_base_224 hiera_base_abswin_256
    hiera_base_plus_224 hiera_small_224 hiera_small_abswin_256 hiera_tiny_224 hieradet_small
    hrnet_w18 inception_next_atto inception_resnet_v2 inception_v3 inception_v4
    lambda_resnet26rpt_256 lambda_resnet26t lamhalobotnet50ts_256 lcnet_035 lcnetv2_base
    legacy_xception levit_128 lowformer_b0 maxvit_nano_rw_256 maxvit_pico_rw_256
    maxvit_rmlp_nano_rw_256 maxvit_rmlp_pico_rw_256 maxvit_rmlp_small_rw_224 maxvit_rmlp_tiny_rw_256
    maxvit_small_tf_224 maxvit_tiny_pm_256 maxvit_tiny_rw_224 maxvit_tiny_tf_224
    maxxvit_rmlp_nano_rw_256 maxxvit_rmlp_small_rw_256 maxxvit_rmlp_tiny_rw_256
    maxxvitv2_nano_rw_256 mixer_b16_224 mixnet_l mnasnet_050 mobilenet_edgetpu_100 mobilenetv1_100
    mobilenetv2_035 mobilenetv3_large_075 mobilenetv4_conv_aa_large mobileone_s0 mobilevit_s
    mobilevit_xs mobilevit_xxs mobilevitv2_050 mvitv2_base mvitv2_tiny nest_base nest_base_jx
    nest_small nest_small_jx nest_tiny nest_tiny_jx nextvit_base nextvit_large nextvit_small
    nf_ecaresnet26 nfnet_f0 pit_b_224 pit_b_distilled_224 pit_s_224 pit_s_distilled_224 pit_ti_224
    pit_ti_distilled_224 pit_xs_224 pit_xs_distilled_224 poolformer_m36 poolformerv2_m36 pvt_v2_b0
    regnetv_040 regnetx_002 regnety_002 regnetz_005 regnetz_b16 repghostnet_050 repvgg_a0
    repvit_m0_9 res2net50_14w_8s res2next50 resmlp_12_224 resnest101e resnest14d resnest200e
    resnest26d resnest50d resnet101 resnet101_clip resnet101c resnet101d resnet101s resnet10t
    resnet14t resnet152 resnet152c resnet152d resnet152s resnet18 resnet18d resnet200 resnet200d
    resnet26 resnet26d resnet26t resnet32ts resnet33ts resnet34 resnet34d resnet50 resnet50_clip
    resnet50c resnet50d resnet50s resnet50t resnet51q resnet61q resnetaa101d resnetaa34d resnetaa50
    resnetaa50d resnetblur101d resnetblur18 resnetblur50 resnetblur50d resnetrs101 resnetrs50
    resnetv2_18 resnext101_32x4d resnext26ts resnext50_32x4d resnext50d_32x4d rexnet_100 rexnetr_100
    sam2_hiera_base_plus sam2_hiera_tiny sebotnet33ts_256 sedarknet21 sehalonet33ts selecsls42
    selecsls42b selecsls60 selecsls60b selecsls84 semnasnet_050 sequencer2d_l sequencer2d_s
    seresnet101 seresnet152 seresnet152d seresnet18 seresnet200d seresnet33ts seresnet34 seresnet50
    seresnet50t seresnetaa50d seresnext101_32x4d seresnext26d_32x4d seresnext26t_32x4d seresnext26ts
    seresnext50_32x4d shvit_s1 skresnet18 skresnet34 skresnet50 skresnet50d skresnext50_32x4d
    spnasnet_100 starnet_s1 swiftformer_l1 swiftformer_s swiftformer_xs swin_s3_tiny_224
    swin_small_patch4_window7_224 swin_tiny_patch4_window7_224 swinv2_cr_tiny_224
    swinv2_tiny_window8_256 test_byobnet test_coatnet test_convnext test_efficientnet test_mambaout
    test_nfnet test_resnet test_vit test_vit_relpos tf_efficientnet_b0 tf_efficientnet_cc_b0_4e
    tf_mobilenetv3_large_075 tiny_vit_5m_224 tinynet_a tnt_b_patch16_224 tnt_s_legacy_patch16_224
    tnt_s_patch16_224 tresnet_l tresnet_m tresnet_v2_l twins_pcpvt_base twins_pcpvt_large
    twins_pcpvt_small twins_svt_base twins_svt_small visformer_small visformer_tiny
    vit_betwixt_patch16_gap_256 vit_betwixt_patch16_rope_reg4_gap_256
    vit_dlittle_patch16_reg1_gap_256 vit_dpwee_patch16_reg1_gap_256 vit_dwee_patch16_reg1_gap_256
    vit_little_patch16_reg1_gap_256 vit_medium_patch16_clip_224 vit_medium_patch16_rope_reg1_gap_256
    vit_mediumd_patch16_reg4_gap_256 vit_mediumd_patch16_rope_reg1_gap_256
    vit_pe_core_small_patch16_384 vit_pe_core_tiny_patch16_384 vit_pe_spatial_small_patch16_512
    vit_pe_spatial_tiny_patch16_512 vit_pwee_patch16_reg1_gap_256 vit_relpos_medium_patch16_rpn_224
    vit_relpos_small_patch16_rpn_224 vit_small_patch16_dinov3 vit_small_patch8_224
    vit_small_plus_patch16_dinov3 vit_small_r26_s32_224 vit_small_resnet50d_s16_224
    vit_srelpos_medium_patch16_224 vit_srelpos_small_patch16_224 vit_tiny_patch16_224
    vit_tiny_patch16_dinov3_qkvb vit_tiny_r_s16_p8_224 vit_wee_patch16_reg1_gap_256
    vit_xsmall_patch16_clip_224 vitamin_small_224 volo_d1_224 vovnet39a vovnet57a wide_resnet50_2
    xception41 xception41p xception65 xception65p xception71 xcit_nano_12_p8_224
    xcit_small_12_p8_224 xcit_tiny_12_p8_224
"""
PYTORCHCV = """
    airnet50_1x64d_r2 alexnet alexnetb alphapose_fastseresnet101b_coco bagnet17 bagnet33 bagnet9
    bam_resnet18 bisenet_resnet18_celebamaskhq bn_vgg11b bninception cbam_resnet18
    centernet_resnet18_coco cgnet_cityscapes channelnet condensenet74_c4_g4 crunet56
    dabnet_cityscapes danet_resnetd50b_cityscapes darknet53 darknet_ref darknet_tiny darts
    deeplabv3_resnetd50b_voc densenet121 diapreresnet20_cifar10 diaresnet20_cifar10 dicenet_wd5
    diracnet18v2 dla34 dpn68 drnc26 drnd22 edanet_cityscapes efficientnet_b0 efficientnet_b0b
    efficientnet_edge_small_b enet_cityscapes erfnet_cityscapes esnet_cityscapes espcnet_cityscapes
    espnetv2_wd2 fbnet_cb fcn8sd_resnetd50b_voc fdmobilenet_wd4 fishnet99 fpenet_cityscapes
    fractalnet_cifar10 ghostnet hardnet39ds hardnet68 hrnet_w18_small_v1 ibn_densenet121
    ibn_resnet50 ibnb_resnet50 ibppose_coco igcv3_wd4 inceptionresnetv2 inceptionv3 inceptionv4
    irevnet301 isqrtcovresnet18 lednet_cityscapes lffd20x5s320v2_widerface linknet_cityscapes
    lwopenpose2d_mobilenet_cmupan_coco menet108_8x1_g3 mixnet_s mnasnet_a1 mnasnet_small
    mobilenet_wd4 mobilenetv2_wd4 mobilenetv2b_wd4 mobilenetv3_small_wd2 msdnet22 nasnet_4a1056
    nasnet_6a4032 nin_cifar10 ntsnet_cub octresnet10_ad2 octresnet50b_ad2 peleenet polynet
    preresnet10 proxylessnas_cpu pspnet_resnetd50b_voc pyramidnet101_a360 pyramidnet110_a48_cifar10
    regnetx002 regnety002 res2net50_w14_s8 resattnet56 resdropresnet20_cifar10 resnesta18
    resnestabc14 resnet10 resnet20_cifar10 resneta10 resnext14_16x4d resnext20_1x64d_cifar10
    revnet38 rir_cifar10 ror3_56_cifar10 scnet50 segnet_cityscapes selecsls42 senet16 sepreresnet10
    seresnet10 seresnext50_32x4d shakeshakeresnet20_2x16d_cifar10 shufflenet_g1_wd4 shufflenetv2_wd2
    shufflenetv2b_wd2 simplepose_resnet18_coco sinet_cityscapes sknet50 spnasnet sqnet_cityscapes
    sqnxt23_w1 sqnxt23v5_w1 squeezenet_v1_0 squeezeresnet_v1_1 superpointnet tresnet_m
    unet_cityscapes vgg11 vovnet27s wrn16_10_cifar10 wrn50_2 xception xdensenet121_2 zfnet zfnetb
"""
SEGMENTERS = """
    Unet UnetPlusPlus MAnet Linknet FPN PSPNet PAN DeepLabV3 DeepLabV3Plus UPerNet Segformer
"""
ENCODERS = """
    resnet50 densenet121 vgg11 vgg16_bn mobilenet_v2 efficientnet-b0 xception inceptionv4
    inceptionresnetv2 dpn68 se_resnet50 senet154 timm-regnetx_002 timm-regnety_002 timm-resnest14d
    timm-res2net50_26w_4s timm-mobilenetv3_small_075 timm-gernet_s timm-skresnet18 mit_b0
    mobileone_s0
"""
TORCHVISION = """
    swin_t swin_v2_t maxvit_t vit_b_32 convnext_tiny efficientnet_v2_s regnet_y_400mf
    shufflenet_v2_x1_0 mnasnet0_5 googlenet
"""
TORCHVISION_SEGMENTERS = """
    deeplabv3_resnet50 fcn_resnet50 lraspp_mobilenet_v3_large deeplabv3_mobilenet_v3_large
"""
TORCHVISION_DETECTORS = """
    fasterrcnn_resnet50_fpn retinanet_resnet50_fpn ssd300_vgg16 ssdlite320_mobilenet_v3_large
    fcos_resnet50_fpn
"""
YOLO = """
    yolov3-tiny yolov5n yolov6n yolov8n yolov9t yolov10n yolo11n yolo12n yolov8-ghost yolov8n-p2
    rtdetr-resnet50 yolov8n-cls
"""


def of_shape(shape: Shape, make: Callable[..., nn.Module], *values, **settings) -> Maker:
    """What makes a network for images of `shape`."""
    return lambda: (make(*values, **settings), shape)


def timm() -> Iterator[tuple[str, Maker]]:
    """Classifiers, each at its own size."""
    import timm

    def make(name: str) -> tuple[nn.Module, Shape]:
        return timm.create_model(name, pretrained=False), timm.get_pretrained_cfg(name).input_size

    for name in TIMM.split():
        yield name, partial(make, name)


def segmentation_models_pytorch() -> Iterator[tuple[str, Maker]]:
    """Every kind of decoder, then every kind of encoder."""
    import segmentation_models_pytorch as library

    for name in SEGMENTERS.split():
        make = getattr(library, name)
        yield f"{name} on resnet18", of_shape((3, 128, 128), make, "resnet18", encoder_weights=None)
    for name in ENCODERS.split():
        yield f"Unet on {name}", of_shape((3, 128, 128), library.Unet, name, encoder_weights=None)
    transformer = "tu-vit_tiny_patch16_224"
    yield (
        "DPT on " + transformer,
        of_shape((3, 224, 224), library.DPT, transformer, encoder_weights=None),
    )


def torchvision() -> Iterator[tuple[str, Maker]]:
    """Classifiers, segmenters, detectors and others, without weights."""
    from torchvision import models

    for name in TORCHVISION.split():
        slow = {"init_weights": False} if name == "googlenet" else {}
        yield name, of_shape((3, 224, 224), getattr(models, name), **slow)
    bare = {"weights": None, "weights_backbone": None}
    for name in TORCHVISION_SEGMENTERS.split():
        yield name, of_shape((3, 128, 160), getattr(models.segmentation, name), **bare)

    def backbone(name: str) -> nn.Module:
        return getattr(models.detection, name)(**bare).backbone

    for name in TORCHVISION_DETECTORS.split():
        yield f"{name}, its backbone", of_shape((3, 320, 320), backbone, name)
    whole = models.detection.fasterrcnn_resnet50_fpn
    yield "fasterrcnn_resnet50_fpn", of_shape((3, 320, 320), whole, **bare)
    yield (
        "raft_small, its encoder",
        of_shape((3, 128, 128), lambda: models.optical_flow.raft_small().feature_encoder),
    )
    quantised = models.quantization.resnet18
    yield "resnet18, int8", of_shape((3, 128, 128), quantised, quantize=True)
    yield "r3d_18", of_shape((3, 64, 64), models.video.r3d_18)


def pytorchcv() -> Iterator[tuple[str, Maker]]:
    """Those of its networks that are built unlike others."""
    from pytorchcv.model_provider import get_model

    def make(name: str) -> tuple[nn.Module, Shape]:
        network = get_model(name, pretrained=False)
        size = getattr(network, "in_size", (224, 224))
        height, width = (size, size) if isinstance(size, int) else size
        if max(height, width) > 480:
            height, width = (side // 4 // 32 * 32 for side in (height, width))
        if hasattr(network, "in_size"):
            network.in_size = height, width
        return network, (1 if name == "superpointnet" else 3, height, width)

    for name in PYTORCHCV.split():
        yield name, partial(make, name)


def monai() -> Iterator[tuple[str, Maker]]:
    """Networks for medical images, in two dimensions and one in three."""
    from monai.networks import nets

    flat = {"spatial_dims": 2, "in_channels": 1}
    plain = {**flat, "out_channels": 2}
    levels = {**plain, "channels": (8, 16, 32), "strides": (2, 2)}
    tokens = {"hidden_size": 96, "mlp_dim": 96, "num_heads": 4}
    makers = {
        "AHNet": lambda: nets.AHNet(**plain, psp_block_num=0),
        "AttentionUnet": lambda: nets.AttentionUnet(**levels),
        "AutoEncoder": lambda: nets.AutoEncoder(**plain, channels=(8, 16), strides=(2, 2)),
        "AutoencoderKL": lambda: nets.AutoencoderKL(
            **flat, out_channels=1, channels=(8, 16), num_res_blocks=1, norm_num_groups=4,
            attention_levels=(False, True), latent_channels=3,
        ),
        "BasicUNet": lambda: nets.BasicUNet(**plain),
        "BasicUNetPlusPlus": lambda: nets.BasicUNetPlusPlus(**plain),
        "DenseNet121": lambda: nets.DenseNet121(**plain),
        "DynUNet": lambda: nets.DynUNet(2, 1, 2, [3, 3, 3], [1, 2, 2], [2, 2]),
        "EfficientNet": lambda: nets.EfficientNetBN("efficientnet-b0", pretrained=False, **flat),
        "FlexibleUNet": lambda: nets.FlexibleUNet(1, 2, "efficientnet-b0"),
        "HighResNet": lambda: nets.HighResNet(**plain),
        "PatchDiscriminator": lambda: nets.PatchDiscriminator(**flat, channels=8),
        "Quicknat": lambda: nets.Quicknat(num_classes=2, num_channels=1, num_filters=16),
        "RegUNet": lambda: nets.RegUNet(2, 1, 8, depth=2, out_channels=2),
        "ResNet18": lambda: nets.resnet18(spatial_dims=2, n_input_channels=1),
        "SENet": lambda: nets.SEResNet50(**flat),
        "SegResNet": lambda: nets.SegResNet(**plain),
        "SegResNetDS": lambda: nets.SegResNetDS(**plain),
        "SwinUNETR": lambda: nets.SwinUNETR(**plain, feature_size=12),
        "UNETR": lambda: nets.UNETR(1, 2, (96, 96), spatial_dims=2, feature_size=8, **tokens),
        "UNet": lambda: nets.UNet(**levels),
        "UNet in three dimensions": lambda: nets.UNet(3, 1, 2, channels=(8, 16), strides=(2,)),
        "VNet": lambda: nets.VNet(**plain),
        "ViT": lambda: nets.ViT(1, (96, 96), (16, 16), spatial_dims=2, **tokens),
    }  # fmt: skip
    for name, make in makers.items():
        side = 256 if name == "SwinUNETR" else 96
        yield name, of_shape((1, side, side), make)


def kornia() -> Iterator[tuple[str, Maker]]:
    """Filters and detectors, which are networks too."""
    from kornia import color, feature, filters, geometry

    small, large, grey = (1, 32, 32), (3, 64, 64), (1, 64, 64)
    blur = ((3, 3), (1.5, 1.5))
    makers = {
        "BilateralBlur": (large, lambda: filters.BilateralBlur((3, 3), 0.1, (1.5, 1.5))),
        "BlurPool2D": (large, lambda: filters.BlurPool2D(3)),
        "BoxBlur": (large, lambda: filters.BoxBlur((3, 3))),
        "Canny": (large, filters.Canny),
        "CornerGFTT": (large, feature.CornerGFTT),
        "CornerHarris": (large, lambda: feature.CornerHarris(0.04)),
        "BlobDoG": (grey, feature.BlobDoG),
        "BlobHessian": (large, feature.BlobHessian),
        "DISK, its U-Net": (large, lambda: feature.DISK().unet),
        "GaussianBlur2d": (large, lambda: filters.GaussianBlur2d((5, 5), (1.5, 1.5))),
        "HardNet": (small, lambda: feature.HardNet(pretrained=False)),
        "Hflip": (large, geometry.Hflip),
        "HyNet": (small, lambda: feature.HyNet(pretrained=False)),
        "Laplacian": (large, lambda: filters.Laplacian(3)),
        "MaxBlurPool2D": (large, lambda: filters.MaxBlurPool2D(3)),
        "MedianBlur": (large, lambda: filters.MedianBlur((3, 3))),
        "RgbToGrayscale": (large, color.RgbToGrayscale),
        "Rotate": (large, lambda: geometry.Rotate(torch.tensor([30.0]))),
        "SOSNet": (small, lambda: feature.SOSNet(pretrained=False)),
        "Sobel": (large, filters.Sobel),
        "SpatialGradient": (large, filters.SpatialGradient),
        "TFeat": (small, lambda: feature.TFeat(pretrained=False)),
        "UnsharpMask": (large, lambda: filters.UnsharpMask(*blur)),
    }
    for name, (shape, make) in makers.items():
        yield name, of_shape(shape, make)


def transformers() -> Iterator[tuple[str, Maker]]:
    """Networks for images, from their configurations."""
    import transformers as library

    small = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    inner = {**small, "intermediate_size": 64}
    dense = {**inner, "num_hidden_layers": 12, "fusion_hidden_size": 16}
    stages = ["stage1", "stage2", "stage3", "stage4"]
    resnet, convnext = library.ResNetConfig, library.ConvNextConfig
    bare = {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None}
    # A name, the side of its image, and settings; the class is NAMEModel unless that is said.
    sizes = {
        "Bit": (224, {}),
        "ConvNext": (224, {}),
        "ConvNextV2": (224, {}),
        "Cvt": (224, {}),
        "Detr": (128, {**bare, "backbone_config": resnet(out_features=["stage4"])}),
        "Dinov2": (224, small),
        "DPTForDepthEstimation": (384, {**dense, "neck_hidden_sizes": [16] * 4}),
        "EfficientNet": (224, {}),
        "FocalNet": (224, {}),
        "GLPN": (128, {}),
        "Levit": (224, {}),
        "MobileNetV1": (224, {}),
        "MobileNetV2": (224, {}),
        "MobileViT": (256, {}),
        "MobileViTV2": (256, {}),
        "PoolFormer": (224, {}),
        "Pvt": (224, {}),
        "RegNet": (224, {}),
        "ResNet": (224, {}),
        "Segformer": (128, {}),
        "SuperPointForKeypointDetection": (128, {}),
        "Swin": (224, {}),
        "Swin2SRForImageSuperResolution": (
            64,
            {"embed_dim": 24, "depths": [1, 1], "num_heads": [2, 2]},
        ),
        "UperNetForSemanticSegmentation": (
            128,
            {"backbone_config": convnext(out_features=stages)},
        ),
        "ViT": (224, inner),
        "Yolos": (128, {**inner, "image_size": [128, 128]}),
    }

    def make(name: str, settings: dict) -> nn.Module:
        family = re.split("For(?=[A-Z])", name)[0]
        config = getattr(library, f"{family}Config")(**settings)
        return getattr(library, name if family != name else f"{name}Model")(config)

    for name, (side, settings) in sizes.items():
        yield name, of_shape((3, side, side), make, name, settings)


class Trunk(nn.Module):
    """A YOLO without its head."""

    def __init__(self, whole: nn.Module) -> None:
        super().__init__()
        self.parts = whole.model[:-1]

    def forward(self, image: Tensor) -> Tensor:
        x, outputs = image, []
        for part in self.parts:  # `f` says whose outputs it takes; -1 is the one before
            if part.f != -1:
                several = [part.f] if isinstance(part.f, int) else part.f
                inputs = [x if at == -1 else outputs[at] for at in several]
                x = inputs[0] if isinstance(part.f, int) else inputs
            x = part(x)
            outputs.append(x)
        return x


def ultralytics() -> Iterator[tuple[str, Maker]]:
    """Detectors, each whole and without its head."""
    from ultralytics.nn import tasks

    def make(name: str) -> nn.Module:
        kind = "Classification" if "cls" in name else "Detection"
        kind = "RTDETRDetection" if "rtdetr" in name else kind
        return getattr(tasks, f"{kind}Model")(f"{name}.yaml", verbose=False)

    for name in YOLO.split():
        yield name, of_shape((3, 128, 160), make, name)
        yield f"{name}, its trunk", of_shape((3, 128, 160), lambda name=name: Trunk(make(name)))


LIBRARIES = {
    library.__name__: library
    for library in (
        ultralytics,
        transformers,
        kornia,
        monai,
        torchvision,
        segmentation_models_pytorch,
        pytorchcv,
        timm,
    )
}


DRAWING = "cauchy_ erfinv_ exponential_ normal_ random_ uniform_".split()


@contextlib.contextmanager
def unset_weights() -> Iterator[None]:
    """Within this, weights stay as memory had them: to draw them takes longest of all."""
    kept = {name: getattr(Tensor, name) for name in DRAWING}
    for name in DRAWING:
        setattr(Tensor, name, lambda tensor, *values, **settings: tensor)
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(Tensor, name, function)
