// Reads one file with one foreign reader and prints what it holds as JSON.
//   node read.mjs READER FILE
import { readFileSync, writeFileSync } from 'node:fs';

const [reader, file] = process.argv.slice(2);
const bytes = new Uint8Array(readFileSync(file));
const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
// three's loaders ask for the browser's globals even where they need no network.
globalThis.self = globalThis;
globalThis.ProgressEvent ??= class extends Event {};

const geometry = (g) => ({
	means: Array.from(g.getAttribute('position').array),
	covariances: Array.from(g.getAttribute('covariance').array),
	rgba: Array.from(g.getAttribute('color').array),
});

const readers = {
	async adobe() {
		const { default: create } = await import('@adobe/spz');
		const spz = await create();
		const cloud = spz.loadSpzFromBuffer(bytes, { to: spz.CoordinateSystem.RUB });
		const { positions, rotations, alphas, colors, scales } = cloud;
		return {
			means: Array.from(positions), quats_xyzw: Array.from(rotations), logits: Array.from(alphas),
			f_dc: Array.from(colors), log_scales: Array.from(scales),
		};
	},
	async 'three-spz'() {
		const { SPZLoader } = await import('three/addons/loaders/SPZLoader.js');
		return geometry(await new SPZLoader().parse(buffer));
	},
	async 'three-ply'() {
		const { GaussianSplatPLYLoader } = await import('three/addons/loaders/GaussianSplatPLYLoader.js');
		return geometry(await new GaussianSplatPLYLoader().parse(buffer));
	},
	async 'three-glb'() {
		const { GLTFLoader } = await import('three/addons/loaders/GLTFLoader.js');
		const { GLTFGaussianSplatLoaderExtension } =
			await import('three/addons/loaders/GLTFGaussianSplatLoaderExtension.js');
		const loader = new GLTFLoader();
		loader.register((parser) => new GLTFGaussianSplatLoaderExtension(parser));
		const { scene } = await loader.parseAsync(buffer, '');
		scene.updateMatrixWorld(true);
		let found;
		scene.traverse((object) => { if (object.isGaussianSplat) found = object; });
		return { ...geometry(found.splatGeometry), matrix: found.matrixWorld.elements };
	},
	async 'gltf-transform'() {
		const { NodeIO } = await import('@gltf-transform/core');
		const { ALL_EXTENSIONS } = await import('@gltf-transform/extensions');
		const { MeshoptDecoder } = await import('meshoptimizer');
		await MeshoptDecoder.ready;
		const io = new NodeIO().registerExtensions(ALL_EXTENSIONS)
			.registerDependencies({ 'meshopt.decoder': MeshoptDecoder });
		const root = (await io.readBinary(bytes)).getRoot();
		const [primitive] = root.listMeshes()[0].listPrimitives();
		const elements = (accessor) => accessor && Array.from({ length: accessor.getCount() },
			(_, index) => accessor.getElement(index, []));
		const [animation] = root.listAnimations();
		return {
			matrix: root.listNodes()[0].getMatrix(),
			means: elements(primitive.getAttribute('POSITION')),
			colors: elements(primitive.getAttribute('COLOR_0')),
			uvs: elements(primitive.getAttribute('TEXCOORD_0')),
			indices: Array.from(primitive.getIndices().getArray()),
			targets: primitive.listTargets().map((target) => elements(target.getAttribute('POSITION'))),
			times: animation && Array.from(animation.listSamplers()[0].getInput().getArray()),
			weights: animation && Array.from(animation.listSamplers()[0].getOutput().getArray()),
			images: root.listTextures().map((texture) => [texture.getMimeType(), texture.getSize()]),
		};
	},
	// Writes FILE compressed by meshopt beside it.
	async meshopt() {
		const { NodeIO } = await import('@gltf-transform/core');
		const { ALL_EXTENSIONS, EXTMeshoptCompression } = await import('@gltf-transform/extensions');
		const { MeshoptDecoder, MeshoptEncoder } = await import('meshoptimizer');
		await Promise.all([MeshoptDecoder.ready, MeshoptEncoder.ready]);
		const io = new NodeIO().registerExtensions(ALL_EXTENSIONS)
			.registerDependencies({ 'meshopt.decoder': MeshoptDecoder, 'meshopt.encoder': MeshoptEncoder });
		const document = await io.readBinary(bytes);
		document.createExtension(EXTMeshoptCompression).setRequired(true)
			.setEncoderOptions({ method: EXTMeshoptCompression.EncoderMethod.QUANTIZE });
		writeFileSync(`${file}.meshopt.glb`, await io.writeBinary(document));
		return {};
	},
	async validate() {
		const { default: validator } = await import('gltf-validator');
		return validator.validateBytes(bytes, { maxIssues: 0 });
	},
};

console.log(JSON.stringify(await readers[reader]()));
