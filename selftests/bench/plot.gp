# SPDX-License-Identifier: LGPL-2.1-or-later
# gnuplot -e "data='NAME.dat'; picture='NAME.png'" plot.gp
# The first line of the data names the columns: bytes, ours, peer.
set terminal pngcairo size 800,500 noenhanced
set output picture
set logscale x 2
set logscale y 10
set xrange [64:1048576]
set xtics ("64 B" 64, "256 B" 256, "1 KiB" 1024, "4 KiB" 4096, \
           "16 KiB" 16384, "64 KiB" 65536, "256 KiB" 262144, "1 MiB" 1048576)
set key top left
set grid
set xlabel "message"
set ylabel "microseconds a message"
plot data using 1:($2/1000) with linespoints title columnheader(2), \
     data using 1:($3/1000) with linespoints title columnheader(3)
