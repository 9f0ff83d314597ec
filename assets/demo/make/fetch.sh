#!/bin/sh
# Brings the demo capture's ingredients into ./work from Debian, npm and PyPI. Needs apt-get, npm, python3 and unzip.
set -eu
cd "$(dirname "$0")"
mkdir -p work
cd work
if [ ! -d furniture ]; then
    apt-get download sweethome3d-furniture=1.8-1
    dpkg-deb -x sweethome3d-furniture_1.8-1_all.deb deb
    for library in Reallusion BlendSwap-CC-0; do
        unzip -qo "deb/usr/share/sweethome3d/furniture/$library.sh3f" -d furniture
    done
    rm -r deb sweethome3d-furniture_1.8-1_all.deb
fi
if [ ! -d package ]; then
    npm pack --silent @pmndrs/assets@1.7.0
    tar xzf pmndrs-assets-1.7.0.tgz package/hdri package/LICENSE
    rm pmndrs-assets-1.7.0.tgz
fi
if [ ! -d venv ]; then
    python3 -m venv venv
    venv/bin/pip install --quiet mitsuba==3.9.1 pyoidn==2.5.1.0 numpy pillow
fi
# Dr.Jit's vector backend needs an LLVM newer than Debian 12's default one.
if [ ! -d llvm ]; then
    apt-get download libllvm19
    dpkg-deb -x libllvm19_*.deb llvm
    rm libllvm19_*.deb
fi
