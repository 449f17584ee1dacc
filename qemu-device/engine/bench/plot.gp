# SPDX-License-Identifier: LGPL-2.1-or-later
# gnuplot -e "data='CHANGED.dat'; picture='CHANGED.svg'" plot.gp
set terminal svg size 720,480 background "white"
set output picture
set logscale xy
set key top left
set grid
set xlabel "changed pages of 65536"
set ylabel "microseconds"
plot data using 1:2 with linespoints title "diff", \
     data using 1:3 with linespoints title "merge, one side changed", \
     data using 1:4 with linespoints title "merge, both sides changed", \
     data using 1:5 with linespoints title "commit", \
     data using 1:1 with lines dashtype 2 title "1 us per page"
