import App

SluiceProgram.main()
