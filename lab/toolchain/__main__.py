from lab.toolchain import main

main()
