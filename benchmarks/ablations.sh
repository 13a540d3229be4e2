#!/usr/bin/env bash
# The small runs behind docs/reproduction.md: each changes one ingredient and leaves the rest. Half an hour on two cores.
#   benchmarks/ablations.sh PHOTOS CIFAR10 OUT
set -euo pipefail
[ $# -eq 3 ] || { sed -n '2,3s/^# \{0,1\}//p' "$0" >&2; exit 2; }
photos=$1 cifar=$2 out=$3

run() { # NAME RECIPE DATA [options]
    kinema train "$2" --data "$3" --out "$out/$1" --resume "${@:4}"
}
settings() { # KEY=VALUE...: as options
    options=()
    for setting in "$@"; do options+=(--set "$setting"); done
}

# A residual U-Net from scratch, at 64 px and a quarter of the widths: blocks and self-attention.
small=(network.channels='[16,32,64,128]' adversarial.critic.channels=16 adversarial.critic.num_layers=2
    score_every=500 num_scored=150 score_size=128)
pixels=("${small[@]}" stages='[{"kind":"generator","num_steps":900,"crop_size":64}]' optimizer.learning_rate=0.001
    optimizer.decay_steps=450)
settings "${pixels[@]}"
run residual cwgan_gp_resunet "$photos" "${options[@]}"
run plain cwgan_gp_resunet "$photos" "${options[@]}" --set network.is_residual=false
run self_attention cwgan_gp_resunet "$photos" "${options[@]}" --set network.has_self_attention=true

# Then both players, each from that same generator.
settings "${small[@]}" \
    stages='[{"kind":"critic","num_steps":100,"crop_size":64},{"kind":"adversarial","num_steps":600,"crop_size":64}]'
options+=(--start-from "$out/residual/average.pt")
run wgan_gp_0.005 cwgan_gp_resunet "$photos" "${options[@]}" --set adversarial.weight=0.005
options+=(--set adversarial.weight=1)
run wgan_gp cwgan_gp_resunet "$photos" "${options[@]}"
run one_critic_step cwgan_gp_resunet "$photos" "${options[@]}" --set adversarial.critic_steps=1
run l1_10 cwgan_gp_resunet "$photos" "${options[@]}" --set pixel.weight=10
run betas_0_09 cwgan_gp_resunet "$photos" "${options[@]}" --set adversarial.betas='[0,0.9]' --set optimizer.betas='[0,0.9]'
run penalty_1 cwgan_gp_resunet "$photos" "${options[@]}" --set adversarial.penalty_weight=1

# CIFAR-10 without the other player.
run cifar_l1 pix2pix_cifar10 "$cifar" --num-workers 0 --set optimizer.decay_steps=750 \
    --set stages='[{"kind":"generator","num_steps":1500,"crop_size":32}]'

# Pretrained or from scratch; with and without the perceptual loss.
short=(score_every=500 num_scored=150 score_size=128 stages='[{"kind":"generator","num_steps":500,"crop_size":64}]'
    optimizer.decay_steps=250 optimizer.warmup_steps=50)
settings "${short[@]}" data.film_rate=0 data.luma_rate=0
run pretrained default "$photos" "${options[@]}"
run from_scratch default "$photos" "${options[@]}" --set is_pretrained=false --set optimizer.pretrained_rate=0.001
short=(score_every=500 num_scored=150 score_size=128 stages='[{"kind":"generator","num_steps":300,"crop_size":64}]'
    optimizer.decay_steps=150 optimizer.warmup_steps=50)
settings "${short[@]}" adversarial=null data.pixel_removal=0 pixel.weight=110
run perceptual attention_unet_perceptual "$photos" "${options[@]}" --set perceptual.weight=0.1
run no_perceptual attention_unet_perceptual "$photos" "${options[@]}" --set perceptual=null
